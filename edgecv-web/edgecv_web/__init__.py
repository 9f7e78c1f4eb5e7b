"""Holds npm's packages for edgecv, in the folder node_modules; `edgecv.web.packages` finds them here."""
