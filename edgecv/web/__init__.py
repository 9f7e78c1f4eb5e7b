"""What edgecv runs in a browser: its interpreters, which `make web` installs, and edgecv's own pages."""
