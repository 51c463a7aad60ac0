"""The Python API. Import it as `import synthstudio as ss`: names are loaded when first used.

The command line is a thin layer over these modules.
"""
