"""synthstudio makes labelled images of partly hidden people.

scenes/*.yaml -> recipe -> draw -> FrameSpec -> body, props -> render -> compose -> label
-> dataset -> formats. Every stage passes frozen values from `core`; they meet in `pipeline`.
"""

__version__ = "0.1.0"
