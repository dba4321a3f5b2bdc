// Gradio draws a folded section or a tab when it is opened first, part by part, and in the frame after the last part
// it writes into the fields what they begin with, over anything typed by then. So a section is shown after that.
(() => {
  const SECTIONS = "#advanced, #start, #restore, #many, #history-tab, .lab[id]"; // page.css hides those without data-settled
  const frame = () => new Promise(requestAnimationFrame);
  let props; // of the components, by their numbers
  const known = new Map(); // a section's id → the ids of what is drawn with it
  const partsOf = (id) => {
    props ??= new Map(window.gradio_config.components.map((component) => [component.id, component.props]));
    if (!known.has(id)) known.set(id, named(nodeOf(id, window.gradio_config.layout)));
    return known.get(id);
  };
  const component = (node) => props.get(node.id) ?? {};
  const nodeOf = (id, node) => {
    if (component(node).elem_id === id) return node;
    for (const child of node.children ?? []) { const found = nodeOf(id, child); if (found) return found; }
    return null;
  };
  const named = (node) => (node?.children ?? []).flatMap((child) => {
    const { elem_id: id, visible, open } = component(child);
    if (visible === false) return [];
    return [...(id ? [id] : []), ...(open === false ? [] : named(child))];
  });
  const waiting = new WeakSet();
  const settle = () => {
    for (const section of document.querySelectorAll(`:is(${SECTIONS}):not([data-settled])`)) {
      const inside = section.querySelector(":scope > [data-testid=accordion-content]") ?? section;
      if (!window.latentLab.isShown(inside)) continue;
      const show = () => { section.dataset.settled = ""; };
      if (!waiting.has(section)) setTimeout(show, 5000); // in any case
      waiting.add(section);
      if (partsOf(section.id).every((id) => document.getElementById(id))) frame().then(frame).then(show);
    }
  };
  Object.assign(window.latentLab, { settle });
})();
