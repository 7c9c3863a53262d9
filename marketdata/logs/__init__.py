"""What is written of what happens: lines, their ids, files and levels. Settings ask it, so it knows none; what has
to do with Celery is in `celery_signals`."""
