// For whoever waits: seconds in the queue that count down, the steps as a filmstrip, a word when a long run has ended.
(() => {
  const lab = window.latentLab;
  const FRAMES = 10, LONG = 5000; // pictures of the strip; milliseconds from which a run is a long one
  const until = new WeakMap(); // a line that counts down → when its seconds are over
  let running = false, wasRunning = false, began = 0, spoken = "";

  const seconds = (left) => {
    if (left < 90) return lab.word("seconds").replace("{value}", Math.max(1, Math.round(left)));
    const rest = `${Math.round(left) % 60}`.padStart(2, "0");
    return lab.word("minutes").replace("{minutes}", Math.floor(Math.round(left) / 60)).replace("{seconds}", rest);
  };
  const countDown = () => {
    for (const said of document.querySelectorAll(".line [data-left]")) {
      if (!until.has(said)) until.set(said, Date.now() + 1000 * Number(said.dataset.left));
      else said.textContent = said.dataset.said.replace("{left}", seconds((until.get(said) - Date.now()) / 1000));
    }
  };
  const asks = () => "Notification" in window && Notification.permission === "default"; // on http only localhost may
  const tick = () => {
    countDown();
    document.getElementById("notify")?.toggleAttribute("hidden", !(running && asks() && Date.now() - began > LONG));
  };
  const notify = () => {
    if (!document.hidden || Date.now() - began < LONG || window.Notification?.permission !== "granted") return;
    const shown = new Notification("Latent Lab", { body: lab.word("pictures_done") });
    shown.onclick = () => { window.focus(); shown.close(); };
  };
  // The tab's pictures outlive a reload: which they were is noted here, the server has the files.
  let recalled = false; // until the page has them again, an empty page must not be noted
  const noted = (cell) => ({
    file: cell.dataset.file, took: Number(cell.dataset.took) || 0, model: cell.dataset.model,
    favourite: cell.dataset.favourite === undefined ? null : cell.dataset.favourite === "true",
  });
  const notePictures = () => {
    const [all, frame] = ["#history", "#stage"].map((part) => [...document.querySelectorAll(`${part} .cell`)].map(noted));
    if (recalled) lab.keepTab("pictures", JSON.stringify({ all, frame }));
  };
  const onStage = () => {
    notePictures();
    const forming = document.querySelector("#stage .forming img"), film = document.querySelector("#film .film");
    if (!forming || !film || film.lastElementChild?.src === forming.src) return;
    film.append(Object.assign(new Image(), { src: forming.src, alt: "" }));
    while (film.childElementCount > FRAMES) film.children[1].remove();
  };
  Object.assign(lab, {
    busy: () => running,
    wasRunning: () => { // before the page was loaded again
      wasRunning = lab.keptTab("running") === "yes";
      running ||= wasRunning;
      began ||= Date.now();
      return wasRunning;
    },
    hasRun: async () => { // also one that was under way when the page was loaded again
      await lab.alone;
      return running || lab.keptTab("running") === "yes";
    },
    resumed: () => { // what the buttons become: those that no run has put to sleep stay as they are
      recalled = true;
      notePictures();
      return wasRunning ? lab.wake(lab.ended()) : [{ __type__: "update" }, { __type__: "update" }];
    },
    keptPictures: () => JSON.parse(lab.keptTab("pictures") || "null"), // of now: an idle tab may outlive its server
    onStage,
    sent: () => {
      lab.hideSketch();
      lab.formSent();
      running = true;
      spoken = lab.lang();
      began = Date.now();
      lab.keepTab("running", "yes");
      lab.keepTab("job", ""); // until the server names this one: the last one's pictures are not its own
      document.querySelector("#film .film")?.replaceChildren();
    },
    ended: () => { // false where the server's next process goes on with the run
      if (document.querySelector("#line .again")) return false;
      if (running) notify();
      running = wasRunning = false;
      lab.keepTab("running", "");
      if (spoken && spoken !== lab.lang()) lab.click("say-again"); // a run speaks the language it was started in
      spoken = "";
      setTimeout(() => { // an end that nobody has told of: a broken stream, say
        const said = document.querySelector("#line .line span");
        const waits = [lab.word("sending"), lab.word("stopping")].includes(said?.textContent);
        if (waits && !running) said.textContent = lab.word("unexpected");
      }, 1000);
      return true;
    },
  });
  const sentence = (body) => { try { return JSON.parse(body).detail; } catch { return undefined; } };
  // A run that could not even be asked for: the canvas was refused while Gradio's client sent it, of which no event tells.
  window.addEventListener("unhandledrejection", (event) => {
    const [refused, body] = /^HTTP \d+: (.*)/s.exec(event.reason?.message ?? "") ?? [];
    if (refused) event.preventDefault(); // several files are refused one after the other: the first is told
    const said = document.querySelector("#line .line span");
    if (!running || said?.textContent !== lab.word("sending")) return;
    said.textContent = sentence(body) ?? lab.word("unexpected");
    said.setAttribute("role", "alert");
    said.parentElement.classList.add("failed");
    lab.click("wake");
  });
  window.addEventListener("click", (event) => {
    if (event.target.closest?.("#notify")) Notification.requestPermission().then(tick);
  });
  setInterval(tick, 1000);
})();
