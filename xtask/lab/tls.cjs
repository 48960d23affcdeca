// TLS on one port of this machine, before plain HTTP on another: node tls.cjs PORT UPSTREAM CERTIFICATE KEY
const fs = require('node:fs');
const net = require('node:net');
const tls = require('node:tls');

const [port, upstream, cert, key] = process.argv.slice(2);
const server = tls.createServer({cert: fs.readFileSync(cert), key: fs.readFileSync(key)}, (client) => {
  const plain = net.connect(Number(upstream), '127.0.0.1');
  client.pipe(plain).pipe(client);
  for (const end of [client, plain]) end.on('error', () => { client.destroy(); plain.destroy(); });
});
server.listen(Number(port), '127.0.0.1', () => console.log('listening'));
