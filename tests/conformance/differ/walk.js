// The parts of a scenario.
'use strict';

/** What an action may carry beside its verb. */
const MODIFIERS = new Set(['callback', 'then', 'as', 'do', 'reason', 'of']);

module.exports = { MODIFIERS };
