"""The page Review: the editor over a queue of people."""

from synthstudio.studio.editor.queue import show

show()
