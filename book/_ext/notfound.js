// The 404 page may be shown at any address, /book/no/such/page.html, and must find its style
// sheets and links wherever the book is served. The book's root is the nearest folder above the
// address that holds the book's inventory; all links of the page are relative to it.
(function () {
  let folder = location.pathname;
  let found = false;
  while (!found && folder !== "/") {
    folder = folder.replace(/[^/]*\/?$/, "");
    const request = new XMLHttpRequest();
    request.open("HEAD", folder + "objects.inv", false); // wait: what follows depends on it
    request.send();
    found = request.status === 200;
  }
  const base = document.createElement("base");
  base.href = folder;
  document.head.append(base);
  // A link within the page (to skip to the content) must stay within the page.
  document.addEventListener("DOMContentLoaded", () => {
    for (const link of document.querySelectorAll('a[href^="#"]')) {
      link.href = location.pathname + location.search + link.getAttribute("href");
    }
  });
})();
