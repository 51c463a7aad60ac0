"""`python -m synthstudio` is `synthstudio`."""

from synthstudio.cli import main

if __name__ == "__main__":
    main()
