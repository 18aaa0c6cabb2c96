"""The programs behind the Makefile: each is `python3 -m tools.NAME`, from the project's folder.

Only those that say so use packages from build/venv; the rest run on a bare Python 3.10.
"""
