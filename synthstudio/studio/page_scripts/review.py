"""The page Review: the editor over a queue of people."""

from synthstudio.studio.editor.session import show

show()
