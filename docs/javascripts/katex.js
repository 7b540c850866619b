// Sets formulas after every page load; without KaTeX the TeX source stays readable.
document$.subscribe(({ body }) => {
  if (typeof renderMathInElement !== "function") return;
  renderMathInElement(body, {
    delimiters: [
      { left: "\\(", right: "\\)", display: false },
      { left: "\\[", right: "\\]", display: true },
    ],
  });
});
