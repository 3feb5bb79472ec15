// The fixed parts of a view. They stay as long as the view does: taken out and put back, all would be laid out anew.

const frames = new WeakMap();

/** What `build` made for a view's element: {nodes, …}, nodes its children in order; made anew where others took their place. */
export function frameOf(root, build) {
  const kept = frames.get(root);
  if (kept && kept.nodes[0].parentNode === root) return kept;
  const frame = build();
  root.replaceChildren(...frame.nodes);
  frames.set(root, frame);
  return frame;
}

/** Puts new content into a node; what had the keyboard's focus there gives it to its successor. */
export function refill(node, ...content) {
  const focused = node.contains(document.activeElement) ? document.activeElement.id : "";
  node.replaceChildren(...content);
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
}
