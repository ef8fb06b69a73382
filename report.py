"""Show and compare runs on one page: ``python report.py runs/qa``."""

from lightune.report.runs.command import main

if __name__ == "__main__":
    main()
