"""One file a page; `synthstudio.studio.app` lists them."""
