// Prints the part of GitHub's published OpenAPI document that Covered uses. With the whole document prism needs minutes.
const whole = require('@octokit/openapi/generated/api.github.com.deref.json');

const repository = '/repos/{owner}/{repo}';
const used = [
  'statuses/{sha}',
  'readme',
  'pulls',
  'pulls/{pull_number}',
  'pulls/{pull_number}/files',
  'compare/{basehead}',
  'commits/{ref}',
  'git/blobs/{file_sha}',
  'git/commits/{commit_sha}',
  'git/trees/{tree_sha}',
  'contents/{path}',
  'issues/{issue_number}/comments',
  'issues/comments/{comment_id}',
  'check-runs',
  'check-runs/{check_run_id}',
];
const paths = Object.fromEntries(used.map((path) => [`${repository}/${path}`, whole.paths[`${repository}/${path}`]]));
const text = { schema: { type: 'string' } };
const contentOf = (path) => paths[`${repository}/${path}`].get.responses['200'].content;
// The document lacks the responses to these media types, which GitHub documents in prose.
contentOf('readme')['application/vnd.github.html'] = text;
contentOf('git/blobs/{file_sha}')['application/vnd.github.raw'] = text;
contentOf('contents/{path}')['application/vnd.github.raw'] = text;

console.log(JSON.stringify({ openapi: whole.openapi, info: whole.info, servers: whole.servers, paths }));
