// Measures a page where it stands. Evaluates to an object of functions.
({
  settled: async () => {
    await window.MathJax?.startup?.promise;
    await document.fonts.ready;
  },

  description: () => document.querySelector("meta[name=description]")?.content ?? "",

  formulas: () => ({
    written: document.querySelectorAll(".math").length,
    typeset: document.querySelectorAll(".math mjx-container").length,
    all: document.querySelectorAll("mjx-container").length,
    spoken: document.querySelectorAll("mjx-container mjx-assistive-mml math").length,
    errors: [...document.querySelectorAll("mjx-merror, merror")].map((e) => e.textContent),
  }),

  images: () => [...document.images].map((image) => ({
    source: image.getAttribute("src"),
    alt: image.alt.trim(),
    loaded: image.complete && image.naturalWidth > 0,
    content: image.closest("article") !== null,
  })),

  // The prose: what stands in the page outside code and formulas.
  prose: () => {
    const copy = document.querySelector("main").cloneNode(true);
    for (const part of copy.querySelectorAll("pre, code, script, style, mjx-container")) {
      part.remove();
    }
    return copy.textContent;
  },

  openAll: () => {
    for (const box of document.querySelectorAll("details")) box.open = true;
  },

  // Elements that stick out of the window, when the page as a whole scrolls sideways.
  overflow: () => {
    const root = document.scrollingElement;
    if (root.scrollWidth <= innerWidth) return [];
    const out = [...document.querySelectorAll("main *")]
      .filter((e) => e.getBoundingClientRect().right > innerWidth + 0.5)
      .map((e) => `<${e.localName} class="${e.className}">`);
    return [`${root.scrollWidth} px in a window of ${innerWidth} px`, ...out.slice(0, 5)];
  },

  // Text whose contrast with its background is below the limit (WCAG 2, relative luminance).
  lowContrast: (limit) => {
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = 1;
    const pen = canvas.getContext("2d", { willReadFrequently: true });
    const known = new Map();
    const rgba = (color) => {
      if (!known.has(color)) {
        pen.clearRect(0, 0, 1, 1);
        pen.fillStyle = color;
        pen.fillRect(0, 0, 1, 1);
        const [r, g, b, a] = pen.getImageData(0, 0, 1, 1).data;
        known.set(color, [r, g, b, a / 255]);
      }
      return known.get(color);
    };
    const over = (top, below) => {
      const a = top[3] + below[3] * (1 - top[3]);
      if (a === 0) return [0, 0, 0, 0];
      const mix = (i) => (top[i] * top[3] + below[i] * below[3] * (1 - top[3])) / a;
      return [mix(0), mix(1), mix(2), a];
    };
    const luminance = (color) => {
      const [r, g, b] = color.slice(0, 3).map((value) => {
        const v = value / 255;
        return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
      });
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const dark = document.documentElement.dataset.theme === "dark";
    const page = dark ? [0, 0, 0, 1] : [255, 255, 255, 1];
    const behind = (element) => {
      let color = [0, 0, 0, 0];
      for (let e = element; e !== null && color[3] < 1; e = e.parentElement) {
        color = over(color, rgba(getComputedStyle(e).backgroundColor));
      }
      return over(color, page);
    };
    const opacity = (element) => {
      let value = 1;
      for (let e = element; e !== null; e = e.parentElement) value *= +getComputedStyle(e).opacity;
      return value;
    };

    const owners = new Set(document.querySelectorAll("main mjx-container"));
    const walker = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const owner = walker.currentNode.parentElement;
      if (walker.currentNode.data.trim() && !owner.closest("script, style, mjx-container, svg")) {
        owners.add(owner);
      }
    }
    const low = [];
    let measured = 0;
    for (const owner of owners) {
      if (!owner.checkVisibility({ visibilityProperty: true, opacityProperty: true })) continue;
      const background = behind(owner);
      const ink = [...rgba(getComputedStyle(owner).color)];
      ink[3] *= opacity(owner);
      const [bright, dim] = [luminance(over(ink, background)), luminance(background)]
        .sort((a, b) => b - a);
      const contrast = (bright + 0.05) / (dim + 0.05);
      measured += 1;
      if (contrast < limit) {
        const text = owner.textContent.trim().slice(0, 30);
        low.push(`${contrast.toFixed(2)} <${owner.localName} class="${owner.className}"> ${text}`);
      }
    }
    return { measured, low: [...new Set(low)] };
  },
})
