import { each, first, fixedFrom } from './elementwise';
import type { OperatorRule, OperatorRules } from './elementwise';
import { countAt, numberAt } from './node';
import { dimsOf, isFixed, notAlong, NotRowwise, product, rowsFirst, rowwise } from './value';
import type { RowwiseValue, Size } from './value';

// The operators of ai.onnx.ml: what scikit-learn, XGBoost and LightGBM are exported to.

/** Most of these operators take a list for one row: then its elements are not rows. */
function table(value: RowwiseValue): Size {
  const dims = rowsFirst(value);
  if (dims.length !== 2) throw new NotRowwise('its input is not a table of rows and columns');
  return dims[0] ?? 'other';
}

const eachElement: OperatorRule = (on) => [{ dims: first(on).dims }];

const eachRow: OperatorRule = (on) => {
  table(first(on));
  return [{ dims: first(on).dims }];
};

const withScores = (count: number): Size => (count > 2 ? count : 'other');

/** A label for each row, and a score for each row and class. */
const classifier =
  (...labels: readonly string[]): OperatorRule =>
  (on) => {
    const rows = table(first(on));
    const count = countAt(on.node.attributes, ...labels);
    return [{ dims: [rows] }, { dims: [rows, withScores(count)] }];
  };

const regressor =
  (targets: string): OperatorRule =>
  (on) => {
    const rows = table(first(on));
    return [{ dims: [rows, numberAt(on.node.attributes, targets, 1)] }];
  };

const oneHotEncoder: OperatorRule = (on) => {
  const count = countAt(on.node.attributes, 'cats_int64s', 'cats_strings');
  return [{ dims: [...dimsOf(first(on)), count] }];
};

/** Chosen by the last axis: columns of rows, or entries of a list of labels for each row. */
const arrayFeatureExtractor: OperatorRule = (on) => {
  const data = first(on);
  const dims = dimsOf(data);
  const [, places] = on.inputs;
  const count = product(dimsOf(places).filter((one) => one !== 1));
  if (isFixed(data)) {
    return [rowwise([...(dims.length > 1 ? dims.slice(0, -1) : [1]), onlyRows(places, count)])];
  }
  fixedFrom(on, 1, 'choice of columns');
  notAlong(data, dims.length - 1);
  return [{ dims: [...dims.slice(0, -1), count] }];
};

/** With other axes beside the rows there is more than one place for each. */
function onlyRows(places: RowwiseValue | undefined, count: Size): Size {
  const wide = dimsOf(places).filter((one) => one !== 1);
  if (count !== 'rows' || wide.length === 1) return count;
  throw new NotRowwise('it has several places for each row');
}

const featureVectorizer: OperatorRule = ({ inputs }) => {
  const given = inputs.filter((input) => input !== undefined);
  if (new Set(given.map(table)).size > 1) {
    throw new NotRowwise('it joins rows with values that have none');
  }
  return [{ dims: [given.map(table)[0] ?? 'other', 'other'] }];
};

export const ML: OperatorRules = {
  ...each(eachElement, 'Binarizer CategoryMapper LabelEncoder'),
  ...each(eachRow, 'Imputer Normalizer Scaler'),
  LinearClassifier: classifier('classlabels_strings', 'classlabels_ints'),
  SVMClassifier: classifier('classlabels_strings', 'classlabels_ints'),
  TreeEnsembleClassifier: classifier('classlabels_strings', 'classlabels_int64s'),
  LinearRegressor: regressor('targets'),
  SVMRegressor: regressor('n_targets_'),
  TreeEnsembleRegressor: regressor('n_targets'),
  TreeEnsemble: regressor('n_targets'),
  OneHotEncoder: oneHotEncoder,
  ArrayFeatureExtractor: arrayFeatureExtractor,
  FeatureVectorizer: featureVectorizer,
};
