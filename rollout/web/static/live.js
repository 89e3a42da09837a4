// An enhancement only: without it the page loads itself again every few seconds.
"use strict";
(() => {
  const SILENT_MS = 15000;
  const POLL_MS = 10000;
  let heard = Date.now();
  let swapping = false;

  const busy = (part) =>
    part.contains(document.activeElement) &&
    document.activeElement.matches("input, textarea, select, summary");

  const swap = async () => {
    if (swapping || document.hidden) return;
    swapping = true;
    try {
      const answer = await fetch(location.href, { headers: { "X-Requested-With": "live" } });
      if (!answer.ok) return;
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const part of document.querySelectorAll("[data-live]")) {
        const next = fresh.getElementById(part.id);
        if (!next || busy(part) || part.isEqualNode(next)) continue;
        const open = [...part.querySelectorAll("details")].map((one) => one.open);
        [...next.querySelectorAll("details")].forEach((one, at) => { one.open = open[at] || false; });
        const focus = document.activeElement && part.contains(document.activeElement)
          ? document.activeElement.getAttribute("href") : null;
        part.replaceWith(next);
        if (focus) {
          const again = [...next.querySelectorAll("a")].find((one) => one.getAttribute("href") === focus);
          if (again) again.focus({ preventScroll: true });
        }
      }
      document.body.className = fresh.body.className;
      document.title = fresh.title;
      heard = Date.now();
    } catch {
      // The line is cut: the page says so below, and tries again.
    } finally {
      swapping = false;
    }
  };

  const source = new EventSource(document.body.dataset.events);
  source.addEventListener("state", () => { heard = Date.now(); swap(); });
  setInterval(() => {
    const silent = Date.now() - heard > SILENT_MS;
    document.body.classList.toggle("cut", silent);
    for (const one of document.querySelectorAll(".broken")) one.hidden = !silent;
    if (source.readyState !== EventSource.OPEN) swap();
  }, POLL_MS / 4);
  document.addEventListener("visibilitychange", swap);
})();
