"""The explorer: a page that lets a convolution be taken apart, and the small server that feeds it.

server    loopback only: connections, bounded in number and time
handler   one request: which are taken at all, within which bounds
api       the questions that the page asks, as functions from JSON to JSON
asked     what came with a question, read into a layer, sizes and numbers
numbers   the arrays that the page fills in when nobody gave any: the same in Python and in JavaScript
photo     a photograph, convolved by the real library
static/   the page: plain ES modules without a build step
"""

from convforge.web.server import Explorer, open_explorer

__all__ = ["Explorer", "open_explorer"]
