// Sends messages (a JSON array on stdin) one after the other over TLS by node-hl7-client and prints what each was answered.
// node client.mjs PORT CA.pem
import { readFileSync } from "node:fs";
import Client, { Message } from "node-hl7-client";

const [port, ca] = process.argv.slice(2);
const texts = JSON.parse(readFileSync(0, "utf8"));
const answers = [];
let heard = () => {};

const client = new Client({ host: "127.0.0.1", tls: { ca: readFileSync(ca) } });
const line = client.createConnection({ port: Number(port) }, async (answer) => {
  const message = answer.getMessage();
  answers.push({ code: message.get("MSA.1").toString(), control: message.get("MSA.2").toString() });
  heard();
});
const late = setTimeout(() => {
  console.error("no answer within 60 s");
  process.exit(1);
}, 60_000);
for (const text of texts) {
  const answered = new Promise((resolve) => (heard = resolve));
  await line.sendMessage(new Message({ text }));
  await answered;
}
clearTimeout(late);
await line.close();
console.log(JSON.stringify(answers));
process.exit(0);
