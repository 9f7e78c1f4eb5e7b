"""`python -m edgecv` is `edgecv`."""

from edgecv.cli.main import main

if __name__ == "__main__":
    main()
