// What a tab remembers. It outlives a reload, Gradio's own among them: Gradio reloads the page when its stream breaks.
(() => {
  const named = (key) => `latent-lab-${key}`;
  const keepTab = (key, value) => { try { sessionStorage.setItem(named(key), value ?? ""); } catch { /* not kept */ } };
  const keptTab = (key) => { try { return sessionStorage.getItem(named(key)); } catch { return null; } };
  // A duplicated tab begins with a copy of the other's memory; where that one answers, this tab has no job yet.
  let tab = keptTab("tab") || Math.random().toString(36).slice(2);
  keepTab("tab", tab);
  // Firefox refuses it where a site may keep nothing: there no tab has a memory to copy.
  const channel = () => { try { return new BroadcastChannel("latent-lab-tabs"); } catch { return { postMessage: () => {} }; } };
  const tabs = channel();
  const alone = new Promise((known) => { // settled when this tab knows whether its job is its own
    tabs.onmessage = ({ data }) => {
      if (data.asks === tab) tabs.postMessage({ taken: tab });
      if (data.taken === tab) {
        keepTab("tab", tab = Math.random().toString(36).slice(2));
        keepTab("job", "");
        keepTab("running", "");
        known();
      }
    };
    if (keptTab("running")) setTimeout(known, 1000); else known(); // the other's page may have much to do
  });
  tabs.postMessage({ asks: tab });
  const keepJob = (id) => keepTab("job", id);
  const keptJob = (id) => keptTab("job") ?? id;
  Object.assign(window.latentLab, { alone, keepJob, keepTab, keptJob, keptTab });
})();
