/** Who a patient is, in the lines every list, dialog and banner shows: taken from a row or a banner, never retyped. */
import { say } from '../i18n/language';
import type { BannerView } from '../wire/BannerView';
import type { PatientRowView } from '../wire/PatientRowView';

/** What a patient's number is called where the engine does not say it. */
export const MRN = say('MRN', 'Pat.-Nr.');

/** Identity lines. */
export interface Who {
  patient: string;
  name: string;
  born: string;
  gender: string;
  numberLabel: string;
  number: string;
  place: string;
  similar: boolean;
  deceased: string | null;
}

/** From a row of the search or the board. */
export function whoOfRow(row: PatientRowView): Who {
  return {
    patient: row.patient,
    name: row.name,
    born: row.born_text,
    gender: row.gender_text,
    numberLabel: MRN,
    number: row.number_text,
    place: row.place_text,
    similar: row.similar_name,
    deceased: row.deceased_text,
  };
}

/** From a banner. */
export function whoOfBanner(banner: BannerView): Who {
  return {
    patient: banner.patient,
    name: banner.name,
    born: banner.born_text,
    gender: banner.gender_text,
    numberLabel: banner.number_label,
    number: banner.number_text,
    place: banner.place_text,
    similar: banner.similar_name,
    deceased: banner.deceased_text,
  };
}

/** "JONES" of "JONES, Mary (Ms)"; the whole name where it is not written so. Only for a tab: the banner says all of it. */
export function familyName(name: string): string {
  const [family = '', given] = name.split(', ', 2);
  return given === undefined || family.trim() === '' ? name : family;
}
