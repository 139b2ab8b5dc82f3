/** The order of the files of a run: those that use all of a processor beside those that mostly wait. */
import {BaseSequencer, type TestSpecification} from 'vitest/node';

/** Its files wait for the object store, whose daemons use less than one core. */
const waiting = 'storage';
/** Its files are the shortest; at the end they leave no worker without work. */
const shortest = 'unit';

export class EvenSequencer extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const of = (isOf: (name: string) => boolean) => sorted.filter(({project}) => isOf(project.name));
    const lanes = [of((name) => name === waiting), of((name) => name !== waiting && name !== shortest)];
    const places = new Map(
      lanes.flatMap((lane) => lane.map((file, index) => [file, (index + 0.5) / lane.length] as const)),
    );
    const placeOf = (file: TestSpecification): number => places.get(file) ?? 1;
    return sorted.toSorted((a, b) => placeOf(a) - placeOf(b));
  }
}
