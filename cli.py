"""`python cli.py …` in a checkout is `edgecv …`; never installed."""

from edgecv.cli.main import main

if __name__ == "__main__":
    main()
