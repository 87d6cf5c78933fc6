// Keeps one processor busy, as a caller who sends and a thread that reads do.
process.on('disconnect', () => process.exit());
(function spin() {
  const until = performance.now() + 20;
  while (performance.now() < until);
  setImmediate(spin);
})();
