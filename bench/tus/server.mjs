// npm's tus server as its documentation starts it, with a heartbeat beside it.
// usage: node server.mjs PORT FOLDER

import http from 'node:http'
import { Server } from '@tus/server'
import { FileStore } from '@tus/file-store'

const [port, directory] = process.argv.slice(2)

const tus = new Server({
  path: '/files',
  datastore: new FileStore({ directory }),
  relativeLocation: true,
})

function heartbeat(req, res) {
  let body = ''

  req.on('data', (data) => { body += data })
  req.on('end', () => {
    const seq = JSON.parse(body).seq
    const reply = JSON.stringify({ server_time: Date.now(), seq, next_s: 30 })

    res.writeHead(200, {
      'Content-Type': 'application/json',
      'Content-Length': Buffer.byteLength(reply),
    })
    res.end(reply)
  })
}

const server = http.createServer((req, res) => {
  if (req.url === '/api/v1/heartbeat') {
    heartbeat(req, res)
  } else {
    tus.handle(req, res)
  }
})

server.keepAliveTimeout = 600000
server.requestTimeout = 0
server.listen(Number(port), '127.0.0.1')
