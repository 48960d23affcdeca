// Checks a query and its response with GitHub's published GraphQL schema: the query must be valid, and the response must
// have the types that the schema defines. usage: graphql-check.cjs '{"query", "variables", "response"}'
const { buildSchema, parse, validate, executeSync } = require('graphql');
const { readFileSync } = require('node:fs');
const { isDeepStrictEqual } = require('node:util');

const { query, variables, response } = JSON.parse(process.argv[2]);
// The package supports only `import`, and its schema is a separate file, which defines one field twice.
const published = readFileSync(`${process.env.NODE_PATH}/@octokit/graphql-schema/schema.graphql`, 'utf8');
const schema = buildSchema(published, { assumeValidSDL: true });
const document = parse(query);
let problems = validate(schema, document).map((error) => error.message);

if (!problems.length) {
  const executed = executeSync({
    schema,
    document,
    variableValues: variables,
    rootValue: response.data,
    // A response is keyed by alias, where there is one.
    fieldResolver: (source, _arguments, _context, info) => source[info.path.key],
    typeResolver: () => 'Commit',
  });
  problems = (executed.errors ?? []).map((error) => error.message);
  const data = JSON.parse(JSON.stringify(executed.data));
  if (!isDeepStrictEqual(data, response.data)) problems.push(`not of the query's shape: ${JSON.stringify(response.data)}`);
}
problems.forEach((problem) => console.error(problem));
process.exitCode = problems.length ? 1 : 0;
