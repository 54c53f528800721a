// Bytes that are written, and how bytes are shown.
'use strict';

const chunks = new Map();

/** A text, or as many bytes as asked: 0, 1, …, 250, 0, 1, … */
function chunk(value) {
  if (typeof value !== 'number') return value;
  if (!chunks.has(value)) {
    const bytes = Buffer.allocUnsafe(value);
    for (let i = 0; i < value; i++) bytes[i] = i % 251;
    chunks.set(value, bytes);
  }
  return chunks.get(value);
}

function fnv1a(bytes) {
  let hash = 0x811c9dc5;
  for (let i = 0; i < bytes.length; i++) hash = Math.imul(hash ^ bytes[i], 0x01000193);
  return (hash >>> 0).toString(16).padStart(8, '0');
}

/** Few bytes that are text are shown, many are counted and summed up (FNV-1a, 32 bits). */
function showBytes(bytes) {
  const text = bytes.toString('utf8');
  if (bytes.length <= 64 && !/[\u0000-\u001f\u007f\ufffd]/.test(text)) return JSON.stringify(text);
  return `${bytes.length} bytes #${fnv1a(bytes)}`;
}

module.exports = { chunk, fnv1a, showBytes };
