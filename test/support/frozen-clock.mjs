/** Loaded before the program: its clock stands still at CLOCK, so that what it prints of times and durations is the same in every run. */
const RealDate = Date;
const now = RealDate.parse(process.env.CLOCK);

globalThis.Date = class Date extends RealDate {
  constructor(...args) {
    if (args.length === 0) super(now);
    else super(...args);
  }

  static now() {
    return now;
  }
};
