"""What these tests share."""

from tests.fixtures import road, road_database

__all__ = ["road", "road_database"]
