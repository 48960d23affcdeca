// Drives Chromium through a list of steps and prints the results and all errors as JSON.
// usage: browser.cjs CHROMIUM STEPS
// steps: [{"open": url} | {"click": selector} | {"evaluate": js} | {"screenshot": file} | {"size": {"width": n, "height": n}}
//         | {"colors": "light" | "dark"} | {"axe": true}]
const { readFileSync } = require('fs');
const { chromium } = require('playwright-core');

async function runStep(page, step) {
  if (step.open) {
    const response = await page.goto(step.open, { waitUntil: 'load' });
    return response.status();
  }
  if (step.click) {
    await Promise.all([page.waitForNavigation({ waitUntil: 'load' }), page.click(step.click)]);
    return page.url();
  }
  if (step.axe) {
    await page.evaluate(readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8'));
    const { violations } = await page.evaluate('axe.run()');
    return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
  }
  if (step.evaluate) return page.evaluate(step.evaluate);
  if (step.size) await page.setViewportSize(step.size);
  if (step.colors) await page.emulateMedia({ colorScheme: step.colors });
  if (step.screenshot) await page.screenshot({ path: step.screenshot });
  return null;
}

async function main(executablePath, steps) {
  const browser = await chromium.launch({
    executablePath,
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-background-networking'],
  });
  const problems = [];
  const results = [];
  try {
    const page = await browser.newPage();
    page.on('console', (message) => {
      const { url } = message.location();
      // For a page without an icon the browser requests this one, but not always before the page is closed.
      if (message.type() === 'error' && !url.endsWith('/favicon.ico')) problems.push(`${message.text()} (${url})`);
    });
    page.on('pageerror', (error) => problems.push(String(error)));
    page.on('requestfailed', (request) => {
      const { errorText } = request.failure();
      // The browser loads a page's icon last, and stops when the next step leaves the page.
      const isLeft = errorText === 'net::ERR_ABORTED' && /\/favicon[^/]*$/.test(request.url());
      if (!isLeft) problems.push(`${request.url()}: ${errorText}`);
    });
    for (const step of steps) results.push(await runStep(page, step));
  } finally {
    await browser.close();
  }
  console.log(JSON.stringify({ results, problems }));
}

main(process.argv[2], JSON.parse(process.argv[3])).catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
