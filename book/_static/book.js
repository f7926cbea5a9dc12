// Small helps for reading, after the page is laid out. Without them everything is still there.
(() => {
  "use strict";

  // A box that scrolls sideways must be reachable with the keyboard.
  const boxes = 'mjx-container[display="true"], .table-scroll, .pst-scrollable-table-container, .cell_output .output';

  const fit = () => {
    for (const formula of document.querySelectorAll('mjx-container:not([display="true"])')) {
      formula.classList.remove("too-wide");
      const line = formula.closest("p, li, dd, dt, td, th, figcaption, h1, h2, h3, summary, div");
      const wide = line !== null && formula.offsetWidth > line.clientWidth && line.clientWidth > 0;
      formula.classList.toggle("too-wide", wide);
      if (wide) formula.tabIndex = 0;
    }
    for (const box of document.querySelectorAll(boxes)) {
      if (box.scrollWidth > box.clientWidth + 1) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
    }
  };

  // An address that points into a closed solution opens it.
  const reveal = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const closed = target?.closest("details:not([open])");
    if (closed) {
      closed.open = true;
      target.scrollIntoView();
    }
  };

  // On paper nothing can be opened, so everything is.
  const printed = "main details:not([open])";
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll(printed)];
    for (const box of opened) box.open = true;
  });
  addEventListener("afterprint", () => {
    for (const box of opened) box.open = false;
  });

  addEventListener("hashchange", reveal);
  addEventListener("resize", fit);
  addEventListener("toggle", fit, true);
  addEventListener("load", async () => {
    reveal();
    await window.MathJax?.startup?.promise;
    fit();
  });
})();
