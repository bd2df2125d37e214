// Prints the code that deploys the contract in Stem.sol, and the selector of
// its `advance`.
//
//     node compile.cjs NODE_MODULES

const { readFileSync } = require('node:fs')
const { join, resolve } = require('node:path')

const solc = require(join(resolve(process.argv[2]), 'solc'))
const input = {
  language: 'Solidity',
  sources: { 'Stem.sol': { content: readFileSync(join(__dirname, 'Stem.sol'), 'utf8') } },
  settings: {
    evmVersion: 'paris',
    outputSelection: { '*': { '*': ['evm.bytecode.object', 'evm.methodIdentifiers'] } }
  }
}
const output = JSON.parse(solc.compile(JSON.stringify(input)))
const faults = (output.errors ?? []).filter(error => error.severity === 'error')
if (faults.length > 0) throw new Error(faults.map(error => error.formattedMessage).join('\n'))
const { bytecode, methodIdentifiers } = output.contracts['Stem.sol'].Stem.evm
console.log(`0x${bytecode.object}`)
console.log(`0x${methodIdentifiers['advance(bytes)']}`)
