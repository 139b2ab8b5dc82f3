/** What bin/run.js needs of oclif, from the same copy that the commands have. */
export {flush, handle, run} from '@oclif/core';
