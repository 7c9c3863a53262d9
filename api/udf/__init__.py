"""What TradingView's charting library asks for: its UDF protocol, on the series that REST serves."""
