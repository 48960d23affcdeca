// Prints the part of GitHub's published OpenAPI document that Covered uses. With the whole document prism needs minutes.
const whole = require('@octokit/openapi/generated/api.github.com.deref.json');

const used = ['/repos/{owner}/{repo}/statuses/{sha}', '/repos/{owner}/{repo}/readme'];
const paths = Object.fromEntries(used.map((path) => [path, whole.paths[path]]));
// The document has no response to `accept: application/vnd.github.html+json`, which GitHub documents in prose.
paths[used[1]].get.responses['200'].content['application/vnd.github.html'] = { schema: { type: 'string' } };

console.log(JSON.stringify({ openapi: whole.openapi, info: whole.info, servers: whole.servers, paths }));
