import { createLagMeter } from '../../runtime/shared/event-loop-lag';

afterEach(() => jest.useRealTimers());

test('a stall is reported while it lasts and for a second after it', () => {
  jest.useFakeTimers();
  let time = 0;
  const meter = createLagMeter(() => time);
  const pass = (ms: number): void => {
    time += ms;
    jest.advanceTimersByTime(ms);
  };
  for (let at = 0; at < 10; at += 1) pass(50);
  expect(meter.lagMs()).toBe(0);
  // The clock goes on, the timers do not: the loop stands still.
  time += 300;
  expect(meter.lagMs()).toBe(250);
  pass(50);
  expect(meter.lagMs()).toBe(300);
  for (let at = 0; at < 21; at += 1) pass(50);
  expect(meter.lagMs()).toBe(0);
  meter.stop();
});
