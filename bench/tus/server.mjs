// npm's tus server as its documentation starts it, with a heartbeat beside it.
// With "sync" each finished file is hashed and synced, and its folder synced,
// before the answer: what an upload of ours ends with.
// usage: node server.mjs PORT FOLDER [sync]

import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'
import http from 'node:http'
import { pipeline } from 'node:stream/promises'
import { Server } from '@tus/server'
import { FileStore } from '@tus/file-store'

const [port, directory, synced] = process.argv.slice(2)

async function finished(req, upload) {
  const { path } = upload.storage

  await pipeline(createReadStream(path, { highWaterMark: 262144 }),
    createHash('sha256'))

  const file = await open(path)
  await file.datasync()
  await file.close()

  const folder = await open(directory)
  await folder.sync()
  await folder.close()

  return {}
}

const tus = new Server({
  path: '/files',
  datastore: new FileStore({ directory }),
  relativeLocation: true,
  onUploadFinish: synced === 'sync' ? finished : undefined,
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
