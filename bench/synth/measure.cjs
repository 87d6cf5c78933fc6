// Preloaded into a measured process: leaves what it used in the file $MEASURE_FILE when it ends.
const { writeFileSync } = require('node:fs');

process.on('exit', () => {
  const { maxRSS, userCPUTime, systemCPUTime } = process.resourceUsage();
  const used = { maxRSS, cpu: (userCPUTime + systemCPUTime) / 1000 };
  writeFileSync(process.env.MEASURE_FILE, JSON.stringify(used));
});
