// Opens the status page in a headless Chromium and prints what a person sees, as JSON:
// node status.js URL [TOKEN]
import chromium from "@sparticuz/chromium";
import puppeteer from "puppeteer-core";

const [url, token] = process.argv.slice(2);
const browser = await puppeteer.launch({
  args: chromium.args,
  executablePath: await chromium.executablePath(),
  headless: "shell",
});
try {
  const page = await browser.newPage();
  const seen = { errors: [], elsewhere: [] };
  page.on("pageerror", (error) => seen.errors.push(String(error)));
  page.on("request", (request) => {
    if (!request.url().startsWith(new URL(url).origin)) seen.elsewhere.push(request.url());
  });
  await page.goto(url);
  if (token) {
    await page.waitForSelector("#door:not([hidden])");
    seen.before = await page.$eval("#head", (node) => node.textContent);
    await page.type("#token", token);
    await page.click("#door button");
  }
  await page.waitForFunction(() => document.querySelector("#models td"), { timeout: 15000 });
  seen.head = await page.$eval("#head", (node) => node.textContent);
  for (const name of ["models", "swaps", "shadows", "drift", "refused", "calls"]) {
    seen[name] = await page.$$eval(`#${name} tr`, (rows) =>
      rows.map((row) => [...row.cells].map((cell) => cell.textContent)),
    );
  }
  if (process.env.CVM_SCREENSHOT) await page.screenshot({ path: process.env.CVM_SCREENSHOT });
  console.log(JSON.stringify(seen));
} finally {
  await browser.close();
}
