#!/usr/bin/env node
// Written in plain old syntax, so that an old Node can read it and say what is wrong.
'use strict';

var path = require('path');
var fs = require('fs');
var childProcess = require('child_process');

var NEEDED = [22, 19];
var version = process.versions.node.split('.').map(Number);
var isNewEnough = version[0] > NEEDED[0] || (version[0] === NEEDED[0] && version[1] >= NEEDED[1]);

function start() {
  var main = path.join(__dirname, '..', 'dist', 'cli', 'main.js');
  if (!fs.existsSync(main)) {
    console.error('error: the broker is not built yet\n  → run: npm run build');
    process.exit(70);
  }
  // Node 22 announces its built-in SQLite as experimental at every start; what we need of it is settled.
  var emitWarning = process.emitWarning;
  process.emitWarning = function (warning) {
    if (String(warning).indexOf('SQLite is an experimental feature') === -1)
      emitWarning.apply(process, arguments);
  };
  import(require('url').pathToFileURL(main).href).then(
    (module) => module.main(process.argv),
    (error) => {
      console.error('error: the broker could not be loaded: ' + error.message);
      process.exit(70);
    },
  );
}

/** In a checkout the pinned runtime does it, whatever Node the host has. */
function startPinned(runtime) {
  var child = childProcess.spawn(runtime, process.argv.slice(1), { stdio: 'inherit' });
  ['SIGINT', 'SIGTERM', 'SIGHUP'].forEach((signal) => {
    process.on(signal, () => {
      child.kill(signal);
    });
  });
  child.on('exit', (code, signal) => {
    if (signal) process.kill(process.pid, signal);
    else process.exit(code);
  });
}

if (isNewEnough) {
  start();
} else {
  var pinned = path.join(__dirname, '..', 'node_modules', 'node', 'bin', 'node');
  if (fs.existsSync(pinned)) {
    startPinned(pinned);
  } else {
    console.error(
      'error: Node ' +
        NEEDED.join('.') +
        ' or newer is needed, this is ' +
        process.versions.node +
        '\n  → install a newer Node, or in a checkout run: npm ci',
    );
    process.exit(70);
  }
}
