// Merges coverage-final.json files as nyc does, and prints the lines of each source file with their hits.
const { readFileSync } = require('fs');
const { createCoverageMap } = require('istanbul-lib-coverage');

const map = createCoverageMap({});
process.argv.slice(2).forEach((file) => map.merge(JSON.parse(readFileSync(file, 'utf8'))));
const lines = map.files().map((file) => [file, map.fileCoverageFor(file).getLineCoverage()]);
console.log(JSON.stringify(Object.fromEntries(lines)));
