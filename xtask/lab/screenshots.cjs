// Takes the README's pictures in Chromium: the badge, the commit status and the report of one upload.
// usage: screenshots.cjs CHROMIUM TASK    task: {"badge": url, "report": url, "status": {…}, "folder": path}
const path = require('node:path');
const { chromium } = require('playwright-core');

const escape = (text) => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);

/// The commit status in the way that GitHub lists it below a pull request.
function statusPage({ context, state, description }) {
  const passed = state === 'success';
  const colour = passed ? '#1a7f37' : '#d1242f';
  const mark = passed ? 'M3.5 8.5 6.5 11.5 12.5 5' : 'M4.5 4.5 11.5 11.5 M11.5 4.5 4.5 11.5';
  const title = passed ? 'All checks have passed' : 'All checks have failed';
  const count = passed ? '1 successful check' : '1 failing check';
  return `<!DOCTYPE html><meta charset="utf-8"><style>
    body { margin: 0; background: #fff; color: #1f2328; font: 14px/20px "Liberation Sans", Arial, sans-serif; }
    section { width: 340px; overflow: hidden; border: 1px solid #d1d9e0; border-radius: 6px; }
    header { padding: 12px 16px; border-bottom: 1px solid #d1d9e0; }
    p { display: flex; align-items: center; gap: 8px; margin: 0; padding: 10px 16px; }
    svg { fill: none; stroke: ${colour}; stroke-width: 2; }
    .grey { color: #59636e; }
    .link { margin-left: auto; color: #0969da; }
  </style><section><header><strong>${title}</strong><br><span class="grey">${count}</span></header>
  <p><svg width="16" height="16"><path d="${mark}"/></svg><strong>${escape(context)}</strong>
  <span class="grey">— ${escape(description)}</span><span class="link">Details</span></p></section>`;
}

async function main(executablePath, { badge, report, status, folder }) {
  const browser = await chromium.launch({
    executablePath,
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-background-networking'],
  });
  try {
    // More pixels than points: small text stays sharp.
    const open = (height) => browser.newPage({ viewport: { width: 700, height }, deviceScaleFactor: 1.5 });
    const file = (name) => ({ path: path.join(folder, name) });
    const badgePage = await open(100);
    await badgePage.goto(badge, { waitUntil: 'load' });
    await badgePage.locator('svg').screenshot(file('badge.png'));
    const checksPage = await open(200);
    await checksPage.setContent(statusPage(status), { waitUntil: 'load' });
    await checksPage.locator('section').screenshot(file('status.png'));
    const reportPage = await open(240);
    await reportPage.goto(report, { waitUntil: 'load' });
    await reportPage.screenshot(file('report.png'));
  } finally {
    await browser.close();
  }
}

main(process.argv[2], JSON.parse(process.argv[3])).catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
