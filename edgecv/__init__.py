"""edgecv: from a float vision CNN to the fastest file that still meets an accuracy budget on a device.

`import edgecv` and `import edgecv.runtime` need numpy alone; every other package is imported where it is used.
"""

__version__ = "0.1.0"
