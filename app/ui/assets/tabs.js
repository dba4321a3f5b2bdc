// The tabs: a menu of them on a narrow page, and the one that is shown in the address.
(() => {
  const page = window.latentLab;
  // Tabs that do not fit hide behind an ellipsis in Gradio; on a narrow page a menu of all of them takes their place.
  const tabs = () => [...document.querySelectorAll(".tab-container [role=tab], .overflow-dropdown [role=tab], .overflow-dropdown button")]
    .filter((tab) => !tab.closest("[aria-hidden=true]"));
  const fillMenu = () => {
    const wrapper = document.querySelector(".tab-wrapper");
    if (!wrapper) return;
    let menu = document.getElementById("tab-menu");
    if (!menu) {
      menu = Object.assign(document.createElement("select"), { id: "tab-menu" });
      menu.addEventListener("change", () => tabs().find((tab) => tab.textContent.trim() === menu.value)?.click());
      wrapper.before(menu);
    }
    const names = tabs().map((tab) => tab.textContent.trim());
    if (names.join() !== [...menu.options].map((option) => option.value).join()) {
      menu.replaceChildren(...names.map((name) => new Option(name, name)));
    }
    const shown = tabs().find((tab) => tab.getAttribute("aria-selected") === "true" || tab.classList.contains("selected"));
    if (shown) menu.value = shown.textContent.trim();
    menu.setAttribute("aria-label", page.word("tabs"));
  };

  // The tab that is shown stands in the address, so that Back, Forward and a reload come to it.
  let at = "generate";
  const shownTab = () => {
    const shown = [...document.querySelectorAll("#generate-tab, #history-tab, .lab[id]")].find(page.isShown);
    return shown?.id.replace(/^lab-|-tab$/g, "");
  };
  const noteTab = () => {
    const key = shownTab();
    if (!key || key === at) return;
    at = key;
    const address = new URL(location.href);
    if (key === (address.searchParams.get("lab") ?? "generate")) return; // the address was there first
    address.searchParams.delete("state");
    if (key === "generate") address.searchParams.delete("lab"); else address.searchParams.set("lab", key);
    history.pushState(null, "", address);
  };
  window.addEventListener("popstate", () => {
    const query = new URLSearchParams(location.search);
    if (!query.has("lab")) query.set("lab", "generate");
    const tab = document.querySelector(`[role=tab][data-tab-id="${CSS.escape(query.get("lab"))}"]`);
    if (query.has("state") || !tab) page.follow(`?${query}`); // to set its controls
    else tab.click(); // at once: the answer to an earlier Back must not come after a later one
  });
  Object.assign(page, { fillMenu, noteTab });
})();
