/** The parts of oclif that bin/run.js needs, from the same copy that the commands have. */
export {flush, handle, run} from '@oclif/core';
