// Runs before anything is drawn, so that a chosen appearance does not flash. Everything else is in /assets/app.js.
(function () {
  var theme = localStorage.getItem("ferry.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
})();
